"""How models come here: jobs, and a process for each that is under way."""

from llamactl.models.downloads.downloads import Downloads

__all__ = ["Downloads"]
