# Clocks run apart, and for a moment two peers lead
# The old leader's clock is slow, the others' are fast: they elect before it gives up. What it is asked then it does not
# answer from memory: it asks the others first.
# bug: a read is served without a quorum round
# bug: a read needs no majority
mesh 3
drift 1 0.8
drift 2 1.25
drift 3 1.25
isolate 1
await leader 2
ask c1 2
await ack c1
read c2 1
wait 5
