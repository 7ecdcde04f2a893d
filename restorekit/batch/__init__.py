"""Files in, files out: a plan of jobs, and the one loop that works through it."""
