//! The loop around a recording.

use std::path::Path;

use crossterm::event::EventStream;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::outside::{next_input, translate};
use super::{TuiError, theme};
use crate::event::Event;
use crate::options::Options;
use crate::preferences::Preferences;
use crate::render::render;
use crate::replay::{self, Player};
use crate::terminal::{Charts, Screen, has_panicked};
use crate::theme::Theme;

/// A replay moves on this often.
const REPLAY_FRAME: Duration = Duration::from_millis(100);
/// While it stands still only keys matter.
const IDLE: Duration = Duration::from_secs(60);

/// Plays a recording, or stands still at a moment of it, until the person quits or `shutdown` is cancelled, and gives the terminal back.
///
/// # Errors
/// [`TuiError`] when the recording, the theme or the terminal cannot be used.
pub async fn replay(
    options: Options,
    path: &Path,
    at: Option<&str>,
    shutdown: CancellationToken,
) -> Result<(), TuiError> {
    let theme = theme(&options, &Preferences::default())?;
    let points_per_cell = theme.glyphs.points_per_cell();
    // Before the terminal is taken, so that a wrong file is told on it.
    let mut player = Player::open(path, (0, 0), points_per_cell)?;
    if at.is_some() {
        player.stop_at(at)?;
    }
    let mut screen = Screen::take(&shutdown)?;
    player.resize(screen.size()?);
    let outcome = play(&mut player, &theme, &mut screen, &shutdown).await;
    drop(screen);
    if has_panicked() {
        return Err(TuiError::Panicked);
    }
    outcome
}

async fn play(
    player: &mut Player,
    theme: &Theme,
    screen: &mut Screen,
    shutdown: &CancellationToken,
) -> Result<(), TuiError> {
    let mut input = Some(EventStream::new());
    let mut passed = Instant::now();
    loop {
        // What a terminal has not taken yet is not drawn over: the next frame shows what is the case then.
        let is_ready = screen.is_ready();
        if is_ready && player.take_dirty() {
            screen.draw(Charts::Drawn, |frame| render(player.state(), theme, frame))?;
        }
        let is_soon = player.is_playing() || !is_ready;
        let wake = Instant::now() + if is_soon { REPLAY_FRAME } else { IDLE };
        let event = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            event = next_input(&mut input) => match event {
                Some(Ok(event)) => translate(event),
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            () = tokio::time::sleep_until(wake) => None,
        };
        let now = Instant::now();
        player.pass(u64::try_from((now - passed).as_micros()).unwrap_or(u64::MAX));
        passed = now;
        match event {
            Some(Event::Key(key)) if player.press(key)? == replay::Flow::Quit => return Ok(()),
            Some(Event::Resize { width, height }) => {
                screen.clear()?;
                player.resize((width, height));
            }
            _ => {}
        }
    }
}
