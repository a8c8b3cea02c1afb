"""``make profile``: what leader and follower do with their time while a bench's load runs, part by part."""
