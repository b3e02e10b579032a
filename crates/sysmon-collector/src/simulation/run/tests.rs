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

#[test]
fn light_machines_keep_nothing() {
    let mut simulation = Simulation::new(3);
    simulation.is_light = true;
    assert!(simulation.validate().is_ok());
    simulation.spool = Some(SpoolConfig::new("somewhere"));
    assert!(matches!(simulation.validate(), Err(SimulationError::Light)));
}
