//! The settings of an emulated link, one direction: `rate=10mbit,rtt=300ms,loss=1%`.

#[derive(Clone, Debug)]
pub(super) struct Cfg {
    pub(super) rate: f64,              // bit/s, 0 = unlimited
    pub(super) delay: u64,             // ns, one way
    pub(super) jitter: u64,            // ns
    pub(super) loss: f64,              // 0..1
    pub(super) ge: Option<(f64, f64)>, // Gilbert-Elliott: P(good->bad), P(bad->good); all lost while bad
    pub(super) queue: u64, // bytes; 0 = 1 BDP at config time (rate * 2 * delay), at least 2 packets
    pub(super) burst: u64, // bytes of token bucket depth
    pub(super) overhead: u64, // bytes charged per packet on top of the IP length
    pub(super) reorder: bool,
}
impl Default for Cfg {
    fn default() -> Self {
        Cfg {
            rate: 0.0,
            delay: 0,
            jitter: 0,
            loss: 0.0,
            ge: None,
            queue: 0,
            burst: 0,
            overhead: 0,
            reorder: false,
        }
    }
}

fn num_suffix(v: &str, table: &[(&str, f64)]) -> Result<f64, String> {
    for (s, m) in table {
        if let Some(p) = v.strip_suffix(s) {
            if let Ok(x) = p.parse::<f64>() {
                return Ok(x * m);
            }
        }
    }
    v.parse::<f64>().map_err(|_| format!("bad number {v:?}"))
}
fn parse_rate(v: &str) -> Result<f64, String> {
    num_suffix(
        v,
        &[("gbit", 1e9), ("mbit", 1e6), ("kbit", 1e3), ("bit", 1.0)],
    )
}
pub(super) fn parse_time(v: &str) -> Result<u64, String> {
    num_suffix(v, &[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)]).map(|x| x as u64)
}
fn parse_bytes(v: &str) -> Result<u64, String> {
    num_suffix(
        v,
        &[
            ("kb", 1e3),
            ("mb", 1e6),
            ("k", 1024.0),
            ("m", 1048576.0),
            ("b", 1.0),
        ],
    )
    .map(|x| x as u64)
}
fn parse_prob(v: &str) -> Result<f64, String> {
    num_suffix(v, &[("%", 0.01)])
}

impl Cfg {
    pub(super) fn set(&mut self, spec: &str) -> Result<(), String> {
        for kv in spec.split(',').filter(|s| !s.is_empty()) {
            let (k, v) = kv
                .split_once('=')
                .ok_or(format!("want key=value, got {kv:?}"))?;
            match k {
                "rate" => self.rate = parse_rate(v)?,
                "delay" => self.delay = parse_time(v)?,
                "rtt" => self.delay = parse_time(v)? / 2,
                "jitter" => self.jitter = parse_time(v)?,
                "loss" => self.loss = parse_prob(v)?,
                "ge" => {
                    let (a, b) = v.split_once('/').ok_or("ge=P/R")?;
                    self.ge = Some((parse_prob(a)?, parse_prob(b)?));
                }
                "queue" => self.queue = parse_bytes(v)?,
                "burst" => self.burst = parse_bytes(v)?,
                "overhead" => self.overhead = parse_bytes(v)?,
                "reorder" => self.reorder = v == "1",
                _ => return Err(format!("unknown key {k:?}")),
            }
        }
        Ok(())
    }
    pub(super) fn queue_bytes(&self) -> u64 {
        if self.queue > 0 {
            return self.queue;
        }
        let bdp = (self.rate * 2.0 * self.delay as f64 / 1e9 / 8.0) as u64;
        bdp.max(4 * 1500)
    }
}
