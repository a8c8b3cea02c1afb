# The leader offers the lead to one that cannot hear it, and must go on itself
# While it waits for the successor it takes no requests in. It may wait for a lease, not for ever.
# bug: a hand-over is never aborted
mesh 3
crash 1
await leader 2
start 1
await said 2->1 TimeoutNow
cut 2->1
ask c1 2
wait 1500
expect acks 1
expect leader 2
