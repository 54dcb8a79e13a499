"""The window. Qt lives here and nowhere else; it pulls on timers, nothing is pushed to it.

views/ works out what is shown, without Qt; widgets/ and pages/ show it.
"""
