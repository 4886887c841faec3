// Passkeys on the provider's pages. Their form is hidden until this has seen that the browser can; where it
// cannot, or runs no script, the form with the password is all there is.
'use strict';

const form = document.querySelector('form[data-asks-at]');
const canAsk = window.PublicKeyCredential !== undefined
  && typeof PublicKeyCredential.parseRequestOptionsFromJSON === 'function'
  && typeof PublicKeyCredential.parseCreationOptionsFromJSON === 'function';

async function ask(makes) {
  const fields = new URLSearchParams({form: form.elements.form.value, makes: makes ? 'yes' : ''});
  const answer = await fetch(form.dataset.asksAt, {method: 'POST', body: fields});
  const asked = await answer.json();
  if (!answer.ok) {
    throw new Error(asked.detail);
  }
  const credential = makes
    ? await navigator.credentials.create(
      {publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asked.public_key)})
    : await navigator.credentials.get(
      {publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asked.public_key)});
  form.elements.challenge_id.value = asked.challenge_id;
  form.elements.credential.value = JSON.stringify(credential.toJSON());
}

function explain(error) {
  if (error.name === 'InvalidStateError') {
    return 'This device has a passkey for you already.';
  }
  if (error instanceof DOMException) {
    return 'No passkey was used. Try again, or go another way.';
  }
  return `This does not work: ${error.message || 'try again later'}.`;
}

if (form !== null && canAsk) {
  const said = form.querySelector('[role=status]');
  const button = form.querySelector('button');
  form.hidden = false;
  for (const other of document.querySelectorAll('[data-without-passkeys]')) {
    other.hidden = true;
  }
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (button.getAttribute('aria-disabled') === 'true') {
      return;
    }
    // Not `disabled`: that would take the focus away from who goes by keyboard.
    button.setAttribute('aria-disabled', 'true');
    said.textContent = 'Do what your device asks you.';
    try {
      await ask(form.dataset.makes === 'yes');
      form.submit();
    } catch (error) {
      said.textContent = explain(error);
      button.removeAttribute('aria-disabled');
    }
  });
}
