//! Pages for a person to look at.

use super::*;

/// Serves pages for a person with a browser: `--ignored --nocapture`, then open what it prints. Each
/// form is refused once, then taken; of the callbacks the first is taken and the second refused.
#[tokio::test]
#[ignore = "for looking at, not a check"]
async fn pages_to_look_at() {
    let pages = Pages::new(free_port());
    let mut hosts = form().hosts;
    hosts.extend([
        "api.au.intercom.io".into(),
        "a.x.test".into(),
        "b.x.test".into(),
    ]);
    let client = client_form(&pages);
    let given = Asked::Client {
        redirect_uri: Some(pages.redirect_uri(&github())),
        id: Some("Iv1.8a61f9b3a7aba766".into()),
        secret_needed: true,
    };
    let cookies = Asked::Cookies {
        entry_url: "https://www.linkedin.com/login".into(),
        names: vec!["li_at".into(), "JSESSIONID".into()],
        needed: 1,
    };
    let forms = [
        form(),
        LoginForm {
            rotate: true,
            connection: "team-with-a-long-name".parse().unwrap(),
            hosts,
            ..form()
        },
        client.clone(),
        LoginForm {
            asked: given,
            ..client.clone()
        },
        LoginForm {
            asked: Asked::ServiceAccount,
            display_name: "Google Cloud".into(),
            hint: Some("It begins with `{` and holds a `private_key`.".into()),
            key_urls: vec!["https://console.cloud.google.com/iam-admin/serviceaccounts".into()],
            hosts: vec!["www.googleapis.com".into()],
            variable: Some("GOOGLE_ACCESS_TOKEN".into()),
            pattern: None,
            ..form()
        },
        LoginForm {
            asked: cookies,
            display_name: "LinkedIn — Browser Session".into(),
            hint: None,
            key_urls: vec![],
            hosts: vec!["www.linkedin.com".into(), "linkedin.com".into()],
            variable: Some("LINKEDIN_LI_AT".into()),
            pattern: None,
            ..form()
        },
    ];
    let mut tasks = Vec::new();
    for (n, form) in (1..).zip(forms) {
        let (sink, mut submissions) = mpsc::channel(1);
        let offered = pages.offer(login(n), form.clone(), Port::Any, sink).await;
        println!("{}", offered.unwrap().url);
        tasks.push(tokio::spawn(async move {
            let mut answers = vec![Err("The keyring is locked.".to_owned())];
            answers.push(Ok(match form.asked {
                Asked::Client { .. } => Shown::GoOn {
                    url: "https://github.com/login/oauth/authorize?state=x".into(),
                },
                _ => Shown::Done,
            }));
            for answer in answers {
                let Some(submitted) = submissions.recv().await else {
                    return;
                };
                println!("{:?}", submitted.submission);
                drop(submitted.answer.send(answer));
            }
        }));
    }
    let no = "You or GitHub said no: `access_denied`.";
    for (n, answer) in (10..).zip([Ok(Shown::Done), Err(no.to_owned())]) {
        let (sink, mut submissions) = mpsc::channel(1);
        println!("{}&code=c", wait_for(&pages, n, sink).await);
        tasks.push(tokio::spawn(async move {
            if let Some(submitted) = submissions.recv().await {
                drop(submitted.answer.send(answer));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}
