# One voter says yes twice, and is still one voter
# Of five two are dead and one is cut off. The two that are left are no majority, however often a message arrives.
# bug: a doubled vote counts twice
mesh 5
crash 1
crash 2
isolate 5
double 4->3
wait 4000
expect no leader
