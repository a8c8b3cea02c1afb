# A new leader's log has what was acknowledged, its tables do not have it yet
# 1 acknowledges a request and dies. The disk of 2 is slow. A read waits until the tables have caught up.
# bug: a read is served before it is applied
mesh 3
sync 2 100
ask c1
await ack c1
crash 1
await leader 2
read c2 2
wait 50
