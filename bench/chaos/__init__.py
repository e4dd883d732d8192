"""`python -m bench chaos`: random faults on joiners under load, every user compared with the truth after each."""
