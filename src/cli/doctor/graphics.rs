//! What machine learning and transcoding use. That a card was lost is among the concerns.

use super::{Finding, Known, Silence};

pub(super) fn graphics(known: &Known) -> Finding {
    match &known.survey {
        Ok(survey) => {
            if let Some(refusal) = survey.desired.unfit.first() {
                return Finding::fails(refusal.to_string(), refusal.remedy.clone());
            }
            let acceleration = &survey.desired.acceleration;
            let (learning, encoding) = (acceleration.learning.title(), acceleration.encoding.title());
            Finding::holds(format!("machine learning: {learning}; transcoding: {encoding}"))
        }
        Err(Silence::Refused(_)) => Finding::unknown("what is wished for is refused, see above"),
        Err(Silence::Because(why)) => Finding::unknown(why.clone()),
    }
}
