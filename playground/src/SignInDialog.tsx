import { useEffect, useRef, useState, type FormEvent } from 'react';
import { actAs } from './acting';
import { messageOf } from './graphql';
import { register, signIn } from './people';

/** Registers somebody new or signs somebody in; whoever it is then acts in the front tab. */
export function SignInDialog({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isNew, setIsNew] = useState(true);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');

  useEffect(() => dialog.current?.showModal(), []);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [displayName, email, password] = ['displayName', 'email', 'password'].map(name => String(form.get(name)));
    setBusy(true);
    setProblem('');
    try {
      const credentials = { email: email!, password: password! };
      actAs(await (isNew ? register({ displayName: displayName!, ...credentials }) : signIn(credentials)));
      onClose();
    } catch (error) {
      setProblem(messageOf(error));
      setBusy(false);
    }
  }

  return (
    <dialog ref={dialog} className="bc-dialog" onClose={onClose} aria-labelledby="bc-dialog-title">
      <form onSubmit={submit} autoComplete="off">
        <h2 id="bc-dialog-title">{isNew ? 'Register somebody' : 'Sign somebody in'}</h2>
        <p className="bc-hint">Several people can be signed in at once; each tab chooses one.</p>
        {isNew && (
          <label>
            Display name
            <input name="displayName" required autoFocus placeholder="Ann" />
          </label>
        )}
        <label>
          E-mail
          <input name="email" type="email" required autoComplete="off" placeholder="ann@example.com" />
        </label>
        <label>
          Password
          <input name="password" type="password" required autoComplete="new-password" />
        </label>
        {problem && <p className="bc-problem" role="alert">{problem}</p>}
        <footer>
          <button type="button" className="bc-link" onClick={() => setIsNew(!isNew)}>
            {isNew ? 'Sign in instead' : 'Register instead'}
          </button>
          <button type="button" className="bc-button" onClick={onClose}>
            Cancel
          </button>
          <button className="bc-button bc-primary" disabled={busy}>
            {isNew ? 'Register' : 'Sign in'}
          </button>
        </footer>
      </form>
    </dialog>
  );
}
