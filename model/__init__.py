"""The model: five readings become a probability. What you train, and what the bedside runs.

``RiskModel.load().judge(...)`` needs numpy alone; tensorflow, scikit-learn and joblib are loaded when
``hfzmq.model.train.train`` runs and never by importing anything here. Research software, not a medical device: see
README.md beside this.
"""

from __future__ import annotations

from hfzmq.model.inference import Judgement, RiskModel

__all__ = ["Judgement", "RiskModel"]
