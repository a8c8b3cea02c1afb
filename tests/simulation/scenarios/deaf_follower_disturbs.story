# A follower that does not hear the leader keeps asking the others, and they say no
# They hear the leader well. If they said yes, its term would rise and rise, and depose the leader as soon as it hears
# again.
# bug: a pre-vote is given while a leader is heard
mesh 3
cut 1->3
wait 8000
expect leader 1
mend
wait 4000
expect changes 0
