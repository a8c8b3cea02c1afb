# A leader whose disk hangs gives way, though its heartbeats flow
# The others hear it all the time and hold a lease on it. Only its own disk says nothing.
# bug: a leader with a dead disk goes on
mesh 3
stall 1 6000
await leader 2
ask c1 2
await ack c1
expect leader 2
