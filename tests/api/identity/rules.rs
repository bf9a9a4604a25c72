//! What an account may be made of.

use super::*;

#[tokio::test]
async fn passwords_have_8_to_1024_bytes_and_are_not_the_first_to_be_guessed() {
    let app = App::sqlite().await;
    let of = |password: String| {
        let email = format!("p{}@example.com", password.len());
        json!({ "email": email, "password": password, "displayName": "Pat" })
    };
    for bytes in [0, 1, 7, 1_025, 100_000] {
        assert_bad_input(&register(&app, of("x".repeat(bytes))).await, "password");
    }
    // Bytes, not characters: three of two bytes are too few, four of two are enough.
    assert_bad_input(&register(&app, of("äöü".to_owned())).await, "password");
    for password in [
        "x".repeat(8),
        "y".repeat(1_024),
        "äöüß".to_owned(),
        " ".repeat(12),
    ] {
        let mut input = of(password.clone());
        input["email"] = json!(format!(
            "q{}{}@example.com",
            password.len(),
            password.starts_with('x')
        ));
        if password.starts_with('ä') {
            input["email"] = json!("umlaut@example.com");
        }
        let answer = register(&app, input.clone()).await;
        assert_eq!(answer["errors"], Value::Null, "{} bytes", password.len());
        let again = json!({ "email": input["email"], "password": password });
        assert_eq!(
            sign_in(&app, again).await["errors"],
            Value::Null,
            "{} bytes",
            password.len()
        );
    }
    for known in [
        "password",
        "PASSWORD",
        "Password123",
        "12345678",
        "qwertyuiop",
        "letmein1",
    ] {
        assert_bad_input(&register(&app, of(known.to_owned())).await, "password");
    }
    let own =
        json!({ "email": "own@example.com", "password": "Own@Example.com", "displayName": "Own" });
    assert_bad_input(&register(&app, own).await, "password");
    app.finish().await;
}

#[tokio::test]
async fn a_display_name_is_one_line_of_1_to_100_characters() {
    let app = App::sqlite().await;
    let long = "ü".repeat(101);
    for name in [
        "",
        "   ",
        "\t\n",
        "a\nb",
        "a\0b",
        "\u{7f}",
        "a\u{9b}b",
        "\u{3000}",
        long.as_str(),
    ] {
        let mut input = account("name@example.com");
        input["displayName"] = json!(name);
        assert_bad_input(&register(&app, input).await, "displayName");
    }
    for (n, name) in ["ü".repeat(100), "  Ann  ".to_owned(), "林".to_owned()]
        .iter()
        .enumerate()
    {
        let mut input = account(&format!("name{n}@example.com"));
        input["displayName"] = json!(name);
        let answer = register(&app, input).await;
        assert_eq!(
            answer["data"]["register"]["viewer"]["user"]["displayName"],
            name.trim(),
            "{answer}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn what_is_no_email_address_is_refused_by_name() {
    let app = App::sqlite().await;
    let long = format!("{}@example.com", "x".repeat(243));
    for email in [
        "",
        "ann",
        "@",
        "ann@",
        "@example.com",
        "a@b@c",
        "a b@example.com",
        "a\0@example.com",
        long.as_str(),
    ] {
        assert_bad_input(&register(&app, account(email)).await, "email");
        assert_bad_input(
            &sign_in(&app, json!({ "email": email, "password": PASSWORD })).await,
            "email",
        );
    }
    let longest = format!("{}@example.com", "x".repeat(242));
    assert_eq!(
        register(&app, account(&longest)).await["errors"],
        Value::Null
    );
    app.finish().await;
}
