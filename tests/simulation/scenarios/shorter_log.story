# The one that was away asks for votes, and its log is too short
# 2 was cut off when a request was acknowledged by 1 and 3. Then 1 dies. If 3 gave 2 its vote, the request would be lost.
# bug: a vote is given to a shorter log
mesh 3
isolate 2
ask c1
await ack c1
crash 1
mend
await new leader
expect leader 3
