# What an earlier leader left behind is not committed by counting
# 1 takes in more than fits into one message, and nobody hears of it. It dies, returns and leads again: now the old
# entries reach 3 before the first of its own term does. Until then they may still be overwritten.
# bug: an earlier term's entry is committed by counting
mesh 3
cut 1->2
cut 1->3
ask c1 1
ask c2 1
ask c3 1
ask c4 1
ask c5 1
ask c6 1
ask c7 1
wait 5
crash 1
crash 2
start 1
mend
await leader 1
