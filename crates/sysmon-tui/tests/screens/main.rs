//! What a person sees, for every view and state at three sizes, built only from events.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod alert_scenes;
mod alerts_world;
mod console_scenes;
mod editor_scenes;
mod fleet_scenes;
mod fleet_view_scenes;
mod fleet_window;
mod honest_scenes;
mod input;
mod keys_page;
mod machine_scenes;
mod matrix;
mod palette_scenes;
mod panel_scenes;
mod past_scenes;
mod process_scenes;
mod robustness;
mod tabs_scenes;
mod travel_scenes;
mod world;
