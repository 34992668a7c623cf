use redis::{ErrorKind, RedisError, ServerError, Value, from_redis_value, parse_redis_value};

use super::Failure;

fn said(line: &str) -> RedisError {
    parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
}

#[test]
fn of_an_error_line_only_the_code_is_kept() {
    let error = said("ERR unknown command 'EVALSHA', with args beginning with: 'refresh-token'");
    assert!(error.to_string().contains("refresh-token"), "or else this shows nothing");
    assert_eq!(Failure::from(&error), Failure::Refused("ERR".into()));
    assert_eq!(Failure::from(&said("OOM refresh-token")), Failure::Refused("OOM".into()));
}

#[test]
fn a_code_that_is_no_code_is_not_repeated() {
    let failure = Failure::from(&said("refresh-token is odd"));
    assert!(!failure.to_string().contains("refresh-token"), "{failure}");
}

#[test]
fn an_answer_of_another_type_is_not_repeated() {
    let error: RedisError =
        from_redis_value::<u64>(Value::BulkString(b"refresh-token".to_vec())).unwrap_err().into();
    let failure = Failure::from(&error);
    assert!(!format!("{failure} {failure:?}").contains("refresh-token"), "{failure:?}");
}

#[test]
fn what_asks_for_another_try_is_told_apart() {
    assert!(Failure::Connection("closed".to_owned()).is_connection());
    assert!(!Failure::Answer.is_connection());
    assert!(Failure::from(&said("NOSCRIPT No matching script")).is_unknown_script());
    assert!(Failure::from(&said("READONLY You can't write")).is_wrong_server());
    assert!(Failure::from(&said("NOREPLICAS Not enough good replicas to write.")).is_wrong_server());
    let of_redis_6 = "ERR Error running script (call to f_x): @user_script:30: -READONLY You can't write";
    assert!(Failure::from(&said(of_redis_6)).is_wrong_server());
    let other = Failure::from(&RedisError::from((ErrorKind::Client, "NOSCRIPT")));
    assert!(!other.is_unknown_script() && !other.is_wrong_server());
    let inside = ServerError::try_from(said("READONLY You can't write")).unwrap();
    assert!(Failure::from(&RedisError::from(inside)).is_wrong_server());
}
