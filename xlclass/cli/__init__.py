"""What people start: the command xlclass, and what stands around every job."""
