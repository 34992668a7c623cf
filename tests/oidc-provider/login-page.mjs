// The page on which a person says who they are. There is no password: nothing here is worth one.
const page = `<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Authorization server</title>
<style>
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #26313f;
         font: 16px/1.5 system-ui, sans-serif; color: #1c2530 }
  form { background: #fff; border-radius: 14px; padding: 2rem; width: 19rem; box-shadow: 0 12px 40px #0006 }
  h1 { font-size: 1.25rem; margin: 0 0 .25rem } p { margin: 0 0 1.25rem; color: #5a6675 }
  input, button { width: 100%; box-sizing: border-box; font: inherit; padding: .6rem .8rem; border-radius: 8px }
  input { border: 1px solid #b7c0cb; margin: .25rem 0 1rem }
  button { border: 0; background: #26313f; color: #fff; font-weight: 600; cursor: pointer }
</style>
<form method="post">
  <h1>Authorization server</h1>
  <p>An application asks for access to the API.</p>
  <label>Who are you?<input name="name" value="alice" pattern="[a-z]{1,20}" required autofocus></label>
  <button id="allow">Sign in and allow</button>
</form>
</html>`;

export function loginPage(_request, response) {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }).end(page);
}

export async function nameGiven(request) {
  const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString());
  return /^[a-z]{1,20}$/.exec(form.get('name') ?? '')?.[0] ?? 'somebody';
}
