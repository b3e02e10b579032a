//! Several aggregators in one client: the line of tabs, what a tab off the screen costs, and the way back to it.

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use sysmon_api::wire::{self, command::Body};
use sysmon_core::UnixMillis;
use sysmon_tui::{
    ColourDepth, Effect, Event, Glyphs, Key, KeyCode, LinkEvent, Mouse, MouseAction, Routed, State, TabId,
    TabRequest, Tabs, Theme, render_tabs,
};

use crate::robustness::any_event;
use crate::world::{FLEET, NOW, fleet_snapshot, text_of};

const FLEET_SUBSCRIPTION: u32 = 1;
const MACHINE_SUBSCRIPTION: u32 = 2;
const SUMMARY_SUBSCRIPTION: u32 = 6;

struct Console {
    tabs: Tabs,
    /// What was sent since it was looked at last, with its tab.
    sent: Vec<(TabId, Body)>,
    theme: Theme,
    size: (u16, u16),
}

impl Console {
    fn new(size: (u16, u16)) -> Self {
        let tabs = Tabs::new(State::new("prod", None).asking_for_bursts(250));
        let mut console = Self {
            tabs,
            sent: Vec::new(),
            theme: Theme::load("", &[], ColourDepth::True).unwrap(),
            size,
        };
        console.event(Event::Resize {
            width: size.0,
            height: size.1,
        });
        console.at(NOW);
        console
    }

    fn at(&mut self, now: i64) {
        self.event(Event::Tick {
            now: UnixMillis(now),
            utc_offset_seconds: 0,
        });
    }

    fn event(&mut self, event: Event) {
        let events = self.tabs.route(event);
        self.take(events);
    }

    fn take(&mut self, events: Routed) {
        for (tab, event) in events {
            self.deliver(tab, event);
        }
    }

    fn deliver(&mut self, tab: TabId, event: Event) {
        for effect in self.tabs.deliver(tab, event) {
            match effect {
                Effect::Send(body) | Effect::Ask { body, .. } => self.sent.push((tab, body)),
                // As the runtime does it.
                Effect::Tab(request) => {
                    let events = match request {
                        TabRequest::Number(number) => self.tabs.numbered(number).map(|id| self.tabs.show(id)),
                        TabRequest::Named(name) => self.tabs.named(&name).map(|id| self.tabs.show(id)),
                        TabRequest::Next => Some(self.tabs.show(self.tabs.beside(1))),
                        TabRequest::Previous => Some(self.tabs.show(self.tabs.beside(-1))),
                        TabRequest::Close => self.tabs.close(tab),
                    };
                    self.take(events.unwrap_or_default());
                }
                _ => {}
            }
        }
    }

    fn open(&mut self, name: &str) -> TabId {
        let state = State::new(name, None).asking_for_bursts(250);
        let (id, events) = self.tabs.open(state).unwrap();
        self.take(events);
        id
    }

    fn link(&mut self, tab: TabId, event: LinkEvent) {
        self.deliver(tab, Event::Link(event));
    }

    fn connect(&mut self, tab: TabId) {
        let capabilities = ["windows", "history", "alerts", "past", "burst"];
        let capabilities = capabilities.map(str::to_owned).to_vec();
        self.link(tab, LinkEvent::Connected { capabilities });
    }

    fn update(&mut self, tab: TabId, update: wire::Update) {
        self.link(tab, LinkEvent::Update(Box::new(update)));
    }

    /// Totals of a fleet in another tab.
    fn summary(&mut self, tab: TabId, totals: wire::FleetTotals) {
        let update = wire::Update {
            subscription: SUMMARY_SUBSCRIPTION,
            number: 1,
            snapshot: true,
            now_unix_ms: NOW,
            totals: Some(totals),
            ..Default::default()
        };
        self.update(tab, update);
    }

    fn keys(&mut self, keys: &str) {
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                key => KeyCode::Char(key),
            };
            self.event(Event::Key(Key::plain(code)));
        }
    }

    fn click(&mut self, column: u16, row: u16) {
        let action = MouseAction::Press;
        self.event(Event::Mouse(Mouse { action, column, row }));
    }

    fn screen(&self) -> String {
        let mut terminal = Terminal::new(TestBackend::new(self.size.0, self.size.1)).unwrap();
        terminal
            .draw(|frame| render_tabs(&self.tabs, &self.theme, frame))
            .unwrap();
        text_of(terminal.backend().buffer())
    }

    /// What was sent for a tab since it was asked last: subscriptions begun and ended.
    fn subscriptions(&mut self, tab: TabId) -> (Vec<u32>, Vec<u32>) {
        let (mut begun, mut ended) = (Vec::new(), Vec::new());
        for (_, body) in self.sent.iter().filter(|(of, _)| *of == tab) {
            match body {
                Body::Subscribe(subscribe) => begun.push(subscribe.subscription),
                Body::Unsubscribe(unsubscribe) => ended.push(unsubscribe.subscription),
                _ => {}
            }
        }
        self.sent.retain(|(of, _)| *of != tab);
        (begun, ended)
    }
}

/// Two fleets: one on screen with all that is on it, one of which only totals are known.
fn two(size: (u16, u16)) -> (Console, TabId, TabId) {
    let mut console = Console::new(size);
    let prod = console.tabs.shown();
    console.connect(prod);
    console.update(prod, fleet_snapshot(&FLEET));
    let lab = console.open("lab");
    console.connect(lab);
    let totals = wire::FleetTotals {
        live: 40,
        healthy: 40,
        ..Default::default()
    };
    console.summary(lab, totals);
    (console, prod, lab)
}

#[test]
fn one_tab_has_no_line_and_two_have() {
    let mut console = Console::new((80, 24));
    let prod = console.tabs.shown();
    console.connect(prod);
    console.update(prod, fleet_snapshot(&FLEET));
    let alone = console.screen();
    assert!(alone.starts_with(" sysmon ▸ prod"), "{alone}");
    console.open("lab");
    let line = console.screen().lines().next().unwrap().to_owned();
    assert_eq!(line.trim(), "1 prod ■1  2 lab –");
    console.keys("gn:tab-close\n");
    console.update(prod, fleet_snapshot(&FLEET));
    assert_eq!(console.screen(), alone, "closing gives the row back");
}

#[test]
fn tabs_at_every_size() {
    for size in [(40, 10), (80, 24), (200, 60)] {
        let (mut console, _, _) = two(size);
        let edge = console.open("edge-of-the-world");
        console.link(
            edge,
            LinkEvent::Failed {
                reason: "gone".into(),
                permanent: false,
            },
        );
        console.at(NOW + 75_000);
        insta::assert_snapshot!(format!("tabs_{}x{}", size.0, size.1), console.screen());
    }
    let (mut console, _, _) = two((80, 24));
    console.theme = Theme::load("", &[], ColourDepth::None)
        .unwrap()
        .with_glyphs(Glyphs::Ascii);
    insta::assert_snapshot!("tabs_ascii", console.screen());
    assert!(console.screen().is_ascii());
}

#[test]
fn a_tab_off_the_screen_asks_for_totals_and_nothing_else() {
    let (mut console, prod, lab) = two((100, 30));
    let (begun, ended) = console.subscriptions(lab);
    assert_eq!((begun, ended), (vec![SUMMARY_SUBSCRIPTION], Vec::new()));
    console.keys("\n");
    console.sent.clear();
    console.keys("gn");
    assert_eq!(console.tabs.shown(), lab);
    let leases = console.sent.iter().filter_map(|(of, body)| match body {
        Body::BurstLease(lease) if *of == prod => Some(lease.duration_ms),
        _ => None,
    });
    assert_eq!(leases.collect::<Vec<_>>(), [0], "the burst ends");
    let (begun, ended) = console.subscriptions(prod);
    assert_eq!(begun, [SUMMARY_SUBSCRIPTION]);
    assert_eq!(ended, [MACHINE_SUBSCRIPTION, FLEET_SUBSCRIPTION]);
    assert_eq!(
        console.subscriptions(lab),
        (vec![FLEET_SUBSCRIPTION], vec![SUMMARY_SUBSCRIPTION])
    );
    // Nothing more is asked as time goes on.
    for second in 1..120 {
        console.at(NOW + second * 1_000);
    }
    let (begun, ended) = console.subscriptions(prod);
    assert!(begun.is_empty() && ended.is_empty(), "{begun:?} {ended:?}");
    // A new connection behind the scenes asks for no more than before.
    console.link(
        prod,
        LinkEvent::Failed {
            reason: "gone".into(),
            permanent: false,
        },
    );
    console.connect(prod);
    assert_eq!(console.subscriptions(prod).0, [SUMMARY_SUBSCRIPTION]);
}

#[test]
fn an_aggregator_that_sends_no_windows_is_watched_as_before() {
    let mut console = Console::new((80, 24));
    let old = console.open("old");
    let capabilities = Vec::new();
    console.link(old, LinkEvent::Connected { capabilities });
    assert_eq!(console.subscriptions(old).0, [FLEET_SUBSCRIPTION]);
    console.update(old, fleet_snapshot(&FLEET));
    console.keys("gn");
    assert_eq!(console.subscriptions(old), (Vec::new(), Vec::new()));
    assert!(console.screen().contains("web-017"));
}

#[test]
fn the_way_back_shows_what_was_there_at_once_and_says_that_it_is_old() {
    let (mut console, prod, _) = two((100, 30));
    console.keys("gn");
    console.at(NOW + 60_000);
    console.keys("gN");
    let screen = console.screen();
    assert!(
        screen.contains("web-017") && screen.contains("updating…"),
        "{screen}"
    );
    insta::assert_snapshot!("tabs_catching_up", screen);
    console.update(prod, fleet_snapshot(&FLEET));
    let screen = console.screen();
    assert!(
        screen.contains("live") && !screen.contains("updating"),
        "{screen}"
    );
}

#[test]
fn a_fire_in_another_tab_is_seen() {
    let (mut console, _, lab) = two((80, 24));
    console.tabs.take_dirty();
    assert!(!console.tabs.is_dirty());
    let totals = wire::FleetTotals {
        live: 40,
        healthy: 38,
        critical: 2,
        ..Default::default()
    };
    console.summary(lab, totals);
    assert!(console.tabs.is_dirty(), "the line is drawn anew");
    assert!(console.screen().lines().next().unwrap().contains("2 lab ■2"));
    console.tabs.take_dirty();
    console.summary(lab, totals);
    assert!(
        !console.tabs.is_dirty(),
        "nothing is drawn for what changes nothing"
    );
}

#[test]
fn what_may_be_esc_and_a_digit_changes_the_tab_only_where_esc_has_nothing_to_do() {
    let escaped = |character| Event::Escaped(Key::char(character));
    let (mut console, prod, lab) = two((110, 30));
    console.event(escaped('2'));
    assert_eq!(console.tabs.shown(), lab);
    console.event(escaped('1'));
    assert_eq!(console.tabs.shown(), prod);
    // A filter that is typed is given up, a help closed; then the digit means what it does by itself.
    for before in ["/web", ":the", "?", "s", "g", "C", "b"] {
        let (mut console, prod, _) = two((110, 30));
        console.keys(before);
        console.event(escaped('2'));
        assert_eq!(console.tabs.shown(), prod, "{before}");
        let screen = console.screen();
        // The way to where one is already is not offered.
        assert!(
            !screen.contains("2 alerts") && screen.contains("acknowledge"),
            "{before}: {screen}"
        );
        // From the alerts Esc goes back; g and a digit lead on from everywhere.
        console.event(escaped('2'));
        assert_eq!(console.tabs.shown(), prod, "{before}");
        console.keys("g2");
        assert_ne!(console.tabs.shown(), prod, "{before}");
    }
    // Alt and a letter is not typed, and ends nothing that is.
    let (mut console, _, _) = two((110, 30));
    console.keys("/web");
    console.event(escaped('b'));
    assert!(
        console.screen().contains("/web") || console.screen().contains("/ web"),
        "{}",
        console.screen()
    );
}

#[test]
fn a_single_tab_takes_esc_and_a_digit_one_after_the_other() {
    let mut console = Console::new((80, 24));
    console.keys("?");
    console.event(Event::Escaped(Key::char('3')));
    assert!(
        console.screen().contains("on/off") && !console.screen().contains("Anywhere"),
        "{}",
        console.screen()
    );
    assert!(
        !console.screen().contains("there is no tab"),
        "{}",
        console.screen()
    );
}

#[test]
fn numbers_names_clicks_and_neighbours_lead_to_a_tab() {
    let (mut console, prod, lab) = two((80, 24));
    console.event(Event::Tab(2));
    assert_eq!(console.tabs.shown(), lab);
    console.event(Event::Tab(7));
    assert_eq!(console.tabs.shown(), lab, "there is no seventh");
    console.keys(":tab 1\n");
    assert_eq!(console.tabs.shown(), prod);
    console.keys(":tab lab\n");
    assert_eq!(console.tabs.shown(), lab);
    console.keys("gn");
    assert_eq!(console.tabs.shown(), prod, "around the end");
    let line = console.screen().lines().next().unwrap().to_owned();
    let column = u16::try_from(line.chars().position(|c| c == '2').unwrap()).unwrap();
    console.click(column, 0);
    assert_eq!(console.tabs.shown(), lab);
    console.click(1, 0);
    assert_eq!(console.tabs.shown(), prod);
    // Below the line everything is where the tab drew it.
    let screen = console.screen();
    let row = screen.lines().position(|line| line.contains("web-004")).unwrap();
    for _ in 0..2 {
        console.click(6, u16::try_from(row).unwrap());
    }
    assert!(
        console.screen().contains("▸ prod ▸ web-004"),
        "{}",
        console.screen()
    );
}

#[test]
fn choosing_a_tab_lists_those_there_are() {
    let (mut console, _, _) = two((80, 24));
    console.keys("gT");
    insta::assert_snapshot!("tabs_choosing", console.screen());
    console.keys("9\n");
    let screen = console.screen();
    assert!(screen.contains("there is no tab 9; there are 2"), "{screen}");
}

#[test]
fn there_are_at_most_nine() {
    let mut console = Console::new((80, 24));
    for number in 1..Tabs::MAX {
        console.open(&format!("tab-{number}"));
    }
    assert!(console.tabs.open(State::new("one-too-many", None)).is_none());
    let line = console.screen().lines().next().unwrap().to_owned();
    assert!(line.contains("1 prod") && line.contains("9 –"), "{line}");
}

#[test]
fn news_of_a_tab_that_was_closed_or_left_reach_nobody() {
    let (mut console, prod, lab) = two((80, 24));
    let (new, events) = console.tabs.replace(lab, State::new("other", None)).unwrap();
    console.take(events);
    console.update(lab, fleet_snapshot(&FLEET));
    assert!(console.tabs.state_of(lab).is_none() && new != lab);
    console.keys(":tab-close\n");
    assert_eq!((console.tabs.shown(), console.tabs.count()), (new, 1));
    console.connect(prod);
    assert!(console.screen().contains("connecting"), "{}", console.screen());
}

#[test]
fn a_past_that_plays_stands_still_in_another_tab() {
    let (mut console, prod, _) = two((100, 30));
    console.keys("tp");
    console.at(NOW + 1_000);
    let speeds = |console: &mut Console| {
        let sent = console.sent.drain(..);
        let speeds = sent.filter_map(|(of, body)| match body {
            Body::Subscribe(subscribe) if of == prod => subscribe.at_unix_ms.map(|_| subscribe.speed),
            _ => None,
        });
        speeds.collect::<Vec<_>>()
    };
    assert_eq!(speeds(&mut console), [0, 1]);
    console.keys("gn");
    for second in 2..30 {
        console.at(NOW + second * 1_000);
    }
    assert_eq!(speeds(&mut console), [0]);
    console.keys("gN");
    assert!(console.screen().contains("PAST"), "{}", console.screen());
}

/// What may happen to tabs.
#[derive(Clone, Debug)]
enum Step {
    Event(Event),
    News(usize, Event),
    Open(String),
    Replace(usize),
    Close(usize),
    Show(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_event().prop_map(Step::Event),
        6 => (0usize..9, any_event()).prop_map(|(tab, event)| Step::News(tab, event)),
        2 => "\\PC{0,20}".prop_map(Step::Open),
        1 => (0usize..9).prop_map(Step::Replace),
        1 => (0usize..9).prop_map(Step::Close),
        3 => (0usize..9).prop_map(Step::Show),
        1 => (0usize..12).prop_map(|number| Step::Event(Event::Tab(number))),
        1 => any::<char>().prop_map(|character| Step::Event(Event::Escaped(Key::char(character)))),
        1 => any::<bool>().prop_map(|is_shown| Step::News(0, Event::Shown(is_shown))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_to_tabs_one_of_them_is_drawn(
        width in 1u16..300, height in 1u16..80, steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let (mut console, _, _) = two((width, height));
        for step in steps {
            let id = |console: &Console, index: usize| console.tabs.ids().nth(index % console.tabs.count()).unwrap();
            match step {
                Step::Event(event) => console.event(event),
                Step::News(index, event) => {
                    let tab = id(&console, index);
                    console.deliver(tab, event);
                }
                Step::Open(name) => if let Some((_, events)) = console.tabs.open(State::new(&name, None)) {
                    console.take(events);
                },
                Step::Replace(index) => {
                    let tab = id(&console, index);
                    let events = console.tabs.replace(tab, State::new("again", None)).unwrap().1;
                    console.take(events);
                }
                Step::Close(index) => {
                    let events = console.tabs.close(id(&console, index));
                    console.take(events.unwrap_or_default());
                }
                Step::Show(index) => {
                    let events = console.tabs.show(id(&console, index));
                    console.take(events);
                }
            }
            prop_assert!((1..=Tabs::MAX).contains(&console.tabs.count()));
            console.screen();
            console.tabs.take_dirty();
        }
    }
}
