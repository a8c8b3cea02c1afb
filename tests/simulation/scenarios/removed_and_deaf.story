# A peer is removed while it is cut off, and comes back to campaign
# It does not know that it was removed. Nobody gives it anything: it is told, and stops.
mesh 5
isolate 5
remove 5
wait 3000
expect voters 1,2,3,4
ask c1
await ack c1
mend
wait 5000
expect leader 1
expect stopped 5
expect changes 0
