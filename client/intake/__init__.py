"""A file or a picture that somebody hands in becomes a checked thing that the store can keep: see `accept`.

What is in it is looked at in a process of its own (`apart`), never in the one that holds the window and what is not saved yet.
"""

from __future__ import annotations

from client.intake.accepting import Accepted, accept, accept_picture

__all__ = ["Accepted", "accept", "accept_picture"]
