# After a power cut of all, four are still four
# 4 has joined. When 1 and 2 are cut off from 3 and 4, neither two are a majority, though 1 and 2 were one of the first
# three.
mesh 3
join 4
wait 4000
expect voters 1,2,3,4
crash all
start all
await leader 1
cut 1<->3
cut 1<->4
cut 2<->3
cut 2<->4
wait 4000
expect no leader
ask c1 1
wait 2000
expect acks 0
