# A change of members is half told when the leader dies, and the other half elects without it
# 1 begins to remove 5, and only 2 hears of it. Then 1 dies and 2 is cut off: 3, 4 and 5 are a majority of the five that
# they know, and no majority of the four without 5 can exist beside it.
mesh 5
cut 1->3
cut 1->4
cut 1->5
remove 5
wait 50
crash 1
isolate 2
await new leader
ask c1 3
await ack c1
mend
start 1
wait 6000
expect acks 1
