"""Send a person, their company and an order through Segment's own SDK: `pip install segment-analytics-python`.

python examples/send.py http://127.0.0.1:8000 demo-write-key
"""

import sys

from segment.analytics import Client


def main() -> None:
    """Send to the host with the write key that the command line gives."""
    host, write_key = sys.argv[1:] or ("http://127.0.0.1:8000", "demo-write-key")
    analytics = Client(write_key, host=host)
    analytics.identify("u1", {"name": "Ann Lee", "email": "ann@example.com", "title": "Engineer"})
    analytics.group("u1", "initech", {"name": "Initech", "employees": 329})
    analytics.page("u1", name="Cart", properties={"url": "https://shop.example.com/cart"})
    analytics.track("u1", "Order Completed", {"revenue": 25.5, "items": 2})
    analytics.shutdown()  # sends what waits, then ends


if __name__ == "__main__":
    main()
