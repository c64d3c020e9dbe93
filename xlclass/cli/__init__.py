"""The command line: the command xlclass, and the frame that every job runs in."""
