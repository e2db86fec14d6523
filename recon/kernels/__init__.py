"""Backends: who does the arithmetic. `registry` names them without importing any."""
