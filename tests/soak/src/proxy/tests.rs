use super::*;

const GENTLE: Manners =
    Manners { hurt: 0, longest_delay: Duration::from_millis(30), silence: Duration::from_millis(50) };

/// Answers every byte by two.
async fn doubler() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                if stream.write_all(&[byte[0], byte[0]]).await.is_err() {
                    break;
                }
            }
        }
    };
    drop(tokio::runtime::Handle::current().spawn(serving));
    address
}

/// What comes back for a byte, until the proxy hangs up or the answer is whole.
async fn exchange(stream: &mut TcpStream) -> usize {
    let mut answer = [0; 2];
    if stream.write_all(b"x").await.is_err() {
        return 0;
    }
    let mut read = 0;
    while read < 2 {
        match stream.read(&mut answer[read..]).await {
            Ok(more) if more > 0 => read += more,
            _ => break,
        }
    }
    read
}

#[tokio::test]
async fn what_is_not_hurt_passes_unchanged() {
    let proxy = Proxy::start(doubler().await, 1, GENTLE).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    for _ in 0..20 {
        assert_eq!(exchange(&mut stream).await, 2);
    }
    assert_eq!(proxy.exchanges(), 20);
    assert!(proxy.done().all(|(_, times)| times == 0));
}

#[tokio::test]
async fn every_kind_happens_and_the_same_seed_does_the_same() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let proxy = Proxy::start(doubler().await, 7, Manners { hurt: 1000, ..GENTLE }).await.unwrap();
        let mut answers = Vec::new();
        for _ in 0..60 {
            let mut stream = TcpStream::connect(proxy.address).await.unwrap();
            answers.push(exchange(&mut stream).await);
        }
        assert!(proxy.done().all(|(_, times)| times > 0), "{:?}", proxy.done().collect::<Vec<_>>());
        proxy.calm_down();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(exchange(&mut stream).await, 2);
        runs.push(answers);
    }
    assert!(runs[0].contains(&0) && runs[0].contains(&2));
    assert_eq!(runs[0], runs[1]);
}
