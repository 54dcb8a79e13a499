"""Speech by others than AWS, for operators who choose them. What they are told leaves AWS: a contract with them is needed.

They are not told who speaks: a provider sees this service's address (Cartesia) or the device's (Deepgram), the sound or the text,
its language, and nothing else.
"""

from __future__ import annotations
