"""Turns rows into changes, and changes into records; decides whether state fits its topics. Pure: no I/O, no clock."""
