"""Examines a deployment from the outside, says what is wrong and how to fix it. Imports no tier and no stack."""
