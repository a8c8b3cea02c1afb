# Who has just begun to lead does not know yet what was acknowledged
# 1 acknowledges a request and dies before it has told the others that it is committed.
# bug: a read is served before the no-op
mesh 3
ask c1
await ack c1
crash 1
await said 2->3 AppendRequest
read c2 2
wait 2
