"""Alerts: the rules by themselves, against live metrics, and all the way to a webhook."""
