"""The parts that only wiring has."""
