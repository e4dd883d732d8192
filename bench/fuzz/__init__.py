"""`python -m bench fuzz`: hostile requests to a reader."""
