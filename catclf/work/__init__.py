"""Work on many cores: threads, worker processes, a guarded child, a cluster. Knows no pictures."""
