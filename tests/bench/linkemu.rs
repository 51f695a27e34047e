//! A bad link between two network namespaces, with the kernel's own TCP: rate, delay, loss and outages.
//! Under `wan`, which starts it as a process of its own; needs root and /dev/net/tun.
//!
//!   app (ns A) -> kernel TCP/UDP -> tunA -> [read] bottleneck -> loss -> delay -> [write] tunB -> kernel (ns B)
//!
//! Per direction, in this order, for every IP packet:
//!   1. outage: a packet that arrives, or would be delivered, during an outage is dropped
//!   2. bottleneck: FIFO served at `rate` (token bucket with `burst` bytes, 0 = pure serialization),
//!      drop-tail at `queue` bytes waiting
//!   3. random loss (Bernoulli or Gilbert-Elliott), after the bottleneck: a lost packet has used capacity
//!   4. fixed delay + uniform jitter in [-jitter, +jitter]; order is kept unless `reorder=1`
//!
//! The bottleneck is computed, not slept: a virtual clock gives each packet its departure time on
//! arrival, so the only timer is the delivery timer (ppoll, 1 ns timer slack).

#![allow(
    clippy::all,
    clippy::pedantic,
    reason = "numbers of the kernel's interfaces are cast as they come, and it ends at the first fault"
)]

mod settings;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use settings::{Cfg, parse_time};

const MTU_BUF: usize = 2048;

fn now_ns() -> u64 {
    let mut ts = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut ts) };
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

/// splitmix64: small, seedable, good enough for loss and jitter.
struct Rng(u64);
impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    fn f(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[derive(Default, Clone)]
struct Stats {
    in_pkts: u64,
    in_bytes: u64, // offered by the sender's kernel
    wire_pkts: u64,
    wire_bytes: u64, // went through the bottleneck (includes randomly lost ones)
    out_pkts: u64,
    out_bytes: u64, // delivered to the receiver's kernel
    q_drop: u64,
    loss_drop: u64,
    outage_drop: u64,
    write_err: u64,
    max_backlog: u64,
    late: [u64; 32],
    late_max: u64, // delivery lateness, log2 ns buckets
}
impl Stats {
    fn pct(&self, p: f64) -> f64 {
        let n: u64 = self.late.iter().sum();
        if n == 0 {
            return 0.0;
        }
        let want = (n as f64 * p).ceil() as u64;
        let mut c = 0;
        for (i, x) in self.late.iter().enumerate() {
            c += x;
            if c >= want {
                return (1u64 << i) as f64 / 1e3;
            } // upper edge of bucket, in us
        }
        0.0
    }
    fn json(&self) -> String {
        format!(
            "{{\"in_pkts\":{},\"in_bytes\":{},\"wire_pkts\":{},\"wire_bytes\":{},\"out_pkts\":{},\"out_bytes\":{},\"q_drop\":{},\"loss_drop\":{},\"outage_drop\":{},\"write_err\":{},\"max_backlog\":{},\"late_us_p50_le\":{},\"late_us_p99_le\":{},\"late_us_p999_le\":{},\"late_us_max\":{}}}",
            self.in_pkts,
            self.in_bytes,
            self.wire_pkts,
            self.wire_bytes,
            self.out_pkts,
            self.out_bytes,
            self.q_drop,
            self.loss_drop,
            self.outage_drop,
            self.write_err,
            self.max_backlog,
            self.pct(0.5),
            self.pct(0.99),
            self.pct(0.999),
            self.late_max / 1000
        )
    }
}

struct Pkt {
    buf: Box<[u8; MTU_BUF]>,
    len: usize,
}
struct Dir {
    cfg: Cfg,
    qlim: u64,
    rng: Rng,
    bad: bool,
    tat: f64, // virtual finish time of the bottleneck, ns (f64: exact to ns for ~100 days)
    last_deliver: u64,
    seq: u64,
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>, // (deliver, seq, slot)
    slots: Vec<Option<Pkt>>,
    free: Vec<usize>,
    st: Stats,
}
impl Dir {
    fn new(cfg: Cfg, seed: u64) -> Dir {
        let qlim = cfg.queue_bytes();
        Dir {
            cfg,
            qlim,
            rng: Rng(seed),
            bad: false,
            tat: 0.0,
            last_deliver: 0,
            seq: 0,
            heap: BinaryHeap::new(),
            slots: vec![],
            free: vec![],
            st: Stats::default(),
        }
    }
    fn reconf(&mut self, cfg: Cfg, seed: u64) {
        self.qlim = cfg.queue_bytes();
        self.cfg = cfg;
        self.rng = Rng(seed);
        self.bad = false;
        self.tat = 0.0;
    }
    fn lost(&mut self) -> bool {
        let mut lost = false;
        if let Some((p, r)) = self.cfg.ge {
            let x = self.rng.f();
            self.bad = if self.bad { x >= r } else { x < p };
            lost = self.bad;
        }
        if self.cfg.loss > 0.0 && self.rng.f() < self.cfg.loss {
            lost = true;
        }
        lost
    }
    /// Returns the delivery time, or None when the packet is dropped.
    fn admit(&mut self, now: u64, len: usize, outage: bool) -> Option<u64> {
        self.st.in_pkts += 1;
        self.st.in_bytes += len as u64;
        if outage {
            self.st.outage_drop += 1;
            return None;
        }
        let mut depart = now;
        if self.cfg.rate > 0.0 {
            let ser = (len as u64 + self.cfg.overhead) as f64 * 8e9 / self.cfg.rate;
            let tau = self.cfg.burst as f64 * 8e9 / self.cfg.rate;
            let base = self.tat.max(now as f64);
            // bytes still waiting or in service, before this packet
            let backlog = ((base - tau - now as f64).max(0.0) * self.cfg.rate / 8e9) as u64;
            if backlog + len as u64 > self.qlim {
                self.st.q_drop += 1;
                return None;
            }
            self.st.max_backlog = self.st.max_backlog.max(backlog + len as u64);
            self.tat = base + ser;
            depart = ((self.tat - tau).max(now as f64)) as u64;
        }
        self.st.wire_pkts += 1;
        self.st.wire_bytes += len as u64;
        if self.lost() {
            self.st.loss_drop += 1;
            return None;
        }
        let mut d = depart + self.cfg.delay;
        if self.cfg.jitter > 0 {
            let j = (self.rng.f() * 2.0 - 1.0) * self.cfg.jitter as f64;
            d = (d as i64 + j as i64).max(now as i64) as u64;
        }
        if !self.cfg.reorder {
            d = d.max(self.last_deliver);
            self.last_deliver = d;
        }
        Some(d)
    }
    fn push(&mut self, d: u64, p: Pkt) {
        let slot = match self.free.pop() {
            Some(s) => s,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        self.slots[slot] = Some(p);
        self.seq += 1;
        self.heap.push(Reverse((d, self.seq, slot)));
    }
}

#[repr(C)]
struct Ifreq {
    name: [u8; 16],
    flags: i16,
    pad: [u8; 22],
}

fn open_tun_in_ns(ns: &str, ifname: &str) -> io::Result<RawFd> {
    let ns = ns.to_string();
    let ifname = ifname.to_string();
    // setns() changes only the calling thread, so do it in a short-lived one; the fd stays bound to that namespace.
    std::thread::spawn(move || unsafe {
        let p = CString::new(format!("/run/netns/{ns}")).unwrap();
        let f = libc::open(p.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if f < 0 {
            return Err(io::Error::last_os_error());
        }
        if libc::setns(f, libc::CLONE_NEWNET) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::close(f);
        let dev = CString::new("/dev/net/tun").unwrap();
        let fd = libc::open(
            dev.as_ptr(),
            libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC,
        );
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut r = Ifreq {
            name: [0; 16],
            flags: 0x0001 | 0x1000,
            pad: [0; 22],
        }; // IFF_TUN | IFF_NO_PI
        r.name[..ifname.len()].copy_from_slice(ifname.as_bytes());
        if libc::ioctl(fd, 0x400454ca, &mut r) != 0 {
            return Err(io::Error::last_os_error());
        } // TUNSETIFF
        Ok(fd)
    })
    .join()
    .unwrap()
}

fn sh(args: &[&str]) {
    let o = Command::new(args[0])
        .args(&args[1..])
        .output()
        .unwrap_or_else(|e| panic!("{args:?}: {e}"));
    if !o.status.success() {
        panic!("{args:?}: {}", String::from_utf8_lossy(&o.stderr));
    }
}
fn setup_ns(ns: &str) {
    if !std::path::Path::new(&format!("/run/netns/{ns}")).exists() {
        sh(&["ip", "netns", "add", ns]);
    }
    sh(&["ip", "-n", ns, "link", "set", "lo", "up"]);
    for kv in [
        "net.ipv6.conf.all.disable_ipv6=1",
        "net.ipv6.conf.default.disable_ipv6=1",
        "net.ipv4.tcp_no_metrics_save=1",
    ] {
        sh(&["ip", "netns", "exec", ns, "sysctl", "-qw", kv]);
    }
}
fn setup_if(ns: &str, ifname: &str, ip: &str, peer: &str, mtu: &str) {
    sh(&[
        "ip",
        "-n",
        ns,
        "link",
        "set",
        ifname,
        "mtu",
        mtu,
        "txqueuelen",
        "10000",
    ]);
    sh(&[
        "ip", "-n", ns, "addr", "add", ip, "peer", peer, "dev", ifname,
    ]);
    sh(&["ip", "-n", ns, "link", "set", ifname, "up"]);
}

struct Link {
    dirs: [Dir; 2], // 0: A->B ("up"), 1: B->A ("down")
    mark: u64,
    outages: Vec<(u64, u64)>,
    manual_down: bool,
    seed: u64,
}
impl Link {
    fn out(&self, now: u64) -> bool {
        if self.manual_down {
            return true;
        }
        if self.outages.is_empty() {
            return false;
        }
        let t = now.saturating_sub(self.mark);
        self.outages.iter().any(|&(a, b)| t >= a && t < b)
    }
    fn cmd(&mut self, line: &str) -> Result<String, String> {
        let mut w = line.split_whitespace();
        match w.next().unwrap_or("") {
            // mark: t=0 for outages, counters to zero, loss sequence restarted
            "mark" => {
                self.mark = now_ns();
                for (i, d) in self.dirs.iter_mut().enumerate() {
                    d.st = Stats::default();
                    d.rng = Rng(self.seed.wrapping_mul(1000003).wrapping_add(i as u64));
                    d.bad = false;
                }
                self.outages.clear();
                for o in w {
                    self.outages.push(parse_outage(o)?);
                }
                Ok("ok".into())
            }
            "down" => {
                self.manual_down = true;
                Ok("ok".into())
            }
            "up" => {
                self.manual_down = false;
                Ok("ok".into())
            }
            "seed" => {
                self.seed = w.next().and_then(|x| x.parse().ok()).ok_or("seed N")?;
                Ok("ok".into())
            }
            "set" => {
                // set both|up|down key=value,...
                let which = w.next().ok_or("set both|up|down k=v,..")?;
                let spec = w.next().ok_or("set both|up|down k=v,..")?;
                for i in 0..2 {
                    if which == "both" || (which == "up" && i == 0) || (which == "down" && i == 1) {
                        let mut c = self.dirs[i].cfg.clone();
                        c.set(spec)?;
                        let s = self.seed.wrapping_mul(1000003).wrapping_add(i as u64);
                        self.dirs[i].reconf(c, s);
                    }
                }
                Ok("ok".into())
            }
            "stats" => {
                let mut ru: libc::rusage = unsafe { std::mem::zeroed() };
                unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut ru) };
                let cpu = ru.ru_utime.tv_sec as f64
                    + ru.ru_stime.tv_sec as f64
                    + (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) as f64 / 1e6;
                Ok(format!(
                    "{{\"t_s\":{:.3},\"cpu_s\":{:.3},\"up\":{},\"down\":{}}}",
                    (now_ns() - self.mark) as f64 / 1e9,
                    cpu,
                    self.dirs[0].st.json(),
                    self.dirs[1].st.json()
                ))
            }
            "conf" => Ok(format!(
                "{:?} q={}\n{:?} q={}",
                self.dirs[0].cfg, self.dirs[0].qlim, self.dirs[1].cfg, self.dirs[1].qlim
            )),
            x => Err(format!("unknown command {x:?}")),
        }
    }
}
fn parse_outage(s: &str) -> Result<(u64, u64), String> {
    let (a, b) = s.split_once('-').ok_or("outage is T1-T2, e.g. 10s-30s")?;
    Ok((parse_time(a)?, parse_time(b)?))
}

/// The argument with which this program is the emulator.
pub const ARGUMENT: &str = "--linkemu";

/// `run …` or `ctl …`; the words before them are not looked at.
pub fn emulate(args: &[String]) {
    match args.get(1).map(|s| s.as_str()) {
        Some("run") => run(&args[2..]),
        Some("ctl") => ctl(&args[2], &args[3..].join(" ")),
        _ => {
            eprintln!(
                "linkemu run [--name P] [--sock PATH] [--both k=v,..] [--up k=v,..] [--down k=v,..] [--outage T1-T2]... [--seed N] [--mtu N] [--nice N] [--rt PRIO] [--quantum T]\n\
                       linkemu ctl SOCK mark [T1-T2]... | stats | set both|up|down k=v,.. | down | up | seed N | conf\n\
                       keys: rate delay rtt jitter loss ge=P/R queue burst overhead reorder"
            );
            std::process::exit(2);
        }
    }
}

fn ctl(sock: &str, line: &str) {
    let me = std::env::temp_dir().join(format!("linkemu-ctl-{}-{}", std::process::id(), now_ns()));
    let s = UnixDatagram::bind(&me).unwrap();
    s.set_read_timeout(Some(std::time::Duration::from_secs(3)))
        .unwrap();
    let r = s.send_to(line.as_bytes(), sock).and_then(|_| {
        let mut b = [0u8; 4096];
        let n = s.recv(&mut b)?;
        Ok(String::from_utf8_lossy(&b[..n]).to_string())
    });
    let _ = std::fs::remove_file(&me);
    match r {
        Ok(t) => {
            println!("{t}");
            if t.starts_with("error") {
                std::process::exit(1)
            }
        }
        Err(e) => {
            eprintln!("{e}");
            std::process::exit(1)
        }
    }
}

fn run(args: &[String]) {
    let (mut ca, mut cb) = (Cfg::default(), Cfg::default());
    let mut name = String::new();
    let mut sock: Option<String> = None;
    let mut seed = 1u64;
    let mut mtu = "1500".to_string();
    let mut outages = vec![];
    let mut nice = -10;
    let mut rt = 10; // SCHED_RR priority, 0 = off
    let mut quantum = 100_000u64; // ns: at most one wake-up per quantum while traffic flows
    let mut it = args.iter();
    while let Some(a) = it.next() {
        let v = it.next().unwrap_or_else(|| panic!("{a} wants a value"));
        match a.as_str() {
            "--name" => name = v.clone(),
            "--sock" => sock = Some(v.clone()),
            "--both" => {
                ca.set(v).unwrap();
                cb.set(v).unwrap()
            }
            "--up" => ca.set(v).unwrap(),
            "--down" => cb.set(v).unwrap(),
            "--outage" => outages.push(parse_outage(v).unwrap()),
            "--seed" => seed = v.parse().unwrap(),
            "--mtu" => mtu = v.clone(),
            "--nice" => nice = v.parse().unwrap(),
            "--rt" => rt = v.parse().unwrap(),
            "--quantum" => quantum = parse_time(v).unwrap(),
            _ => panic!("unknown {a}"),
        }
    }
    let (na, nb) = (format!("{name}branch"), format!("{name}hq"));
    setup_ns(&na);
    setup_ns(&nb);
    let fds = [
        open_tun_in_ns(&na, "lnk0").expect("tun A"),
        open_tun_in_ns(&nb, "lnk0").expect("tun B"),
    ];
    setup_if(&na, "lnk0", "10.77.0.1", "10.77.0.2", &mtu);
    setup_if(&nb, "lnk0", "10.77.0.2", "10.77.0.1", &mtu);
    let sock_path = sock.unwrap_or_else(|| {
        std::env::temp_dir()
            .join(format!("{name}linkemu.sock"))
            .display()
            .to_string()
    });
    let _ = std::fs::remove_file(&sock_path);
    let sock = UnixDatagram::bind(&sock_path).unwrap();
    sock.set_nonblocking(true).unwrap();
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
        libc::setpriority(libc::PRIO_PROCESS, 0, nice);
        if rt > 0 {
            let p = libc::sched_param { sched_priority: rt };
            if libc::sched_setscheduler(0, libc::SCHED_RR, &p) != 0 {
                eprintln!("no SCHED_RR: {}", io::Error::last_os_error());
            }
        }
    }
    let s = |i: u64| seed.wrapping_mul(1000003).wrapping_add(i);
    let mut l = Link {
        dirs: [Dir::new(ca, s(0)), Dir::new(cb, s(1))],
        mark: now_ns(),
        outages,
        manual_down: false,
        seed,
    };
    println!(
        "ready ns={na},{nb} sock={sock_path}\n{}",
        l.cmd("conf").unwrap()
    );
    let mut pool: Vec<Box<[u8; MTU_BUF]>> = vec![];
    let mut woke = 0u64;
    loop {
        // 0. under load, handle packets in batches: one wake-up per quantum, not one per packet
        let t = now_ns();
        if quantum > 0 && t < woke + quantum {
            let w = woke + quantum - t;
            let ts = libc::timespec {
                tv_sec: 0,
                tv_nsec: w as _,
            };
            unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, 0, &ts, std::ptr::null_mut()) };
        }
        // 1. deliver what is due
        let mut now = now_ns();
        woke = now;
        for i in 0..2 {
            let outage = l.out(now);
            let d = &mut l.dirs[i];
            let mut n = 0;
            while let Some(&Reverse((t, _, slot))) = d.heap.peek() {
                if t > now {
                    break;
                }
                d.heap.pop();
                let p = d.slots[slot].take().unwrap();
                d.free.push(slot);
                if outage {
                    d.st.outage_drop += 1;
                } else {
                    let r = unsafe { libc::write(fds[1 - i], p.buf.as_ptr() as *const _, p.len) };
                    if r < 0 {
                        d.st.write_err += 1
                    } else {
                        d.st.out_pkts += 1;
                        d.st.out_bytes += p.len as u64
                    }
                    let late = now - t;
                    d.st.late[(64 - late.leading_zeros() as usize).min(31)] += 1;
                    d.st.late_max = d.st.late_max.max(late);
                    now = now_ns();
                }
                pool.push(p.buf);
                n += 1;
                if n >= 64 {
                    break;
                }
            }
        }
        // 2. sleep until the next delivery or an arrival
        let next = (0..2)
            .filter_map(|i| l.dirs[i].heap.peek().map(|r| r.0.0))
            .min();
        let mut pf = [
            libc::pollfd {
                fd: fds[0],
                events: libc::POLLIN,
                revents: 0,
            },
            libc::pollfd {
                fd: fds[1],
                events: libc::POLLIN,
                revents: 0,
            },
            libc::pollfd {
                fd: sock.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            },
        ];
        let wait = next.map(|t| t.saturating_sub(now_ns()));
        let ts = wait.map(|w| libc::timespec {
            tv_sec: (w / 1_000_000_000) as _,
            tv_nsec: (w % 1_000_000_000) as _,
        });
        let tsp = ts.as_ref().map_or(std::ptr::null(), |t| t as *const _);
        let r = unsafe { libc::ppoll(pf.as_mut_ptr(), 3, tsp, std::ptr::null()) };
        if r <= 0 {
            continue;
        }
        // 3. take arrivals
        for i in 0..2 {
            if pf[i].revents == 0 {
                continue;
            }
            for _ in 0..32 {
                let mut b = pool.pop().unwrap_or_else(|| Box::new([0u8; MTU_BUF]));
                let n = unsafe { libc::read(fds[i], b.as_mut_ptr() as *mut _, MTU_BUF) };
                if n <= 0 {
                    pool.push(b);
                    break;
                }
                let now = now_ns();
                let o = l.out(now);
                match l.dirs[i].admit(now, n as usize, o) {
                    Some(t) => l.dirs[i].push(
                        t,
                        Pkt {
                            buf: b,
                            len: n as usize,
                        },
                    ),
                    None => pool.push(b),
                }
            }
        }
        // 4. control
        if pf[2].revents != 0 {
            let mut b = [0u8; 1024];
            while let Ok((n, from)) = sock.recv_from(&mut b) {
                let line = String::from_utf8_lossy(&b[..n]).to_string();
                let rep = l.cmd(&line).unwrap_or_else(|e| format!("error: {e}"));
                if let Some(p) = from.as_pathname() {
                    let _ = sock.send_to(rep.as_bytes(), p);
                }
            }
        }
    }
}
