"""What the two numbers are a risk of, in words; the model card says where this is measured.

Touches nothing.
"""

RISK_OF = "death within about 90 days of the start of follow-up, as the study's 299 patients had it"
STUDY_RISK_OF = "having died by the end of a follow-up of that many days, as the study's 299 patients had"
NOT_A_DEVICE = "research software, not a medical device"
