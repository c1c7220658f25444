"""The compiled core: what is pure and done for every event, compiled to C by mypyc (docs/adr/0017)."""
