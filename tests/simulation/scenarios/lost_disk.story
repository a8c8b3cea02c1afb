# A peer that has lost its disk helps nobody to elect
# 1 and 2 hold a request that 3 never heard of. 2 loses its disk, 1 dies: 2 and 3 are two of three, and must wait for 1.
mesh 3
isolate 3
ask c1
await ack c1
wipe 2
crash 1
mend
wait 6000
expect no leader
start 1
await leader 1
wait 8000
expect voters 1,2,3
expect acks 1
