"""Simulation of the delivery stage: the real machines on a fake clock, network and log, with faults, by seed."""
