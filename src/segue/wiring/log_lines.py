"""Log lines: for people on a terminal, JSON elsewhere.

Rule: a line never holds a secret or an event's body; what may hold one is masked by value before it is logged.
"""

from __future__ import annotations

import logging
import os
import sys

import structlog
from structlog.typing import FilteringBoundLogger


def configure_logging(role: str, *, level: str = "info", form: str = "auto") -> FilteringBoundLogger:
    """The logger of this process. `form` is auto (by whether stderr is a terminal), text or json."""
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    console = form == "text" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        # Where rich is installed structlog would show every variable of a traceback, secrets among them.
        structlog.dev.ConsoleRenderer(pad_event_to=0, colors=colors, exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if console else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logger: FilteringBoundLogger = structlog.get_logger().bind(process=role)
    return logger
