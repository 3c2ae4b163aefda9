"""What the reading process and its parent agree on; imports nothing, so that the process starts at once."""

from __future__ import annotations

#: The file in the scratch folder that tells how reading ended.
ANSWER = "answer.json"
#: The exit code of a process that could not even write its answer, because the disk is full.
EXIT_DISK_FULL = 3
