use super::*;

#[test]
fn what_cannot_be_simulated_is_refused_before_anything_begins() {
    let mut simulation = Simulation::new(3);
    assert!(simulation.validate().is_ok());
    simulation.interval_ms = 99;
    assert!(matches!(
        simulation.validate(),
        Err(SimulationError::Interval(99))
    ));
    simulation.interval_ms = 100;
    simulation.prefix = "no spaces".into();
    assert!(matches!(simulation.validate(), Err(SimulationError::Prefix(_))));
}
