import { createLinks } from './link/links';
import { readAddress } from './state/address';
import { Store } from './state/store';
import { mountApp } from './views/mount.svelte';

const target = document.querySelector('#app');
if (target === null) throw new Error('index.html has no #app');
const address = readAddress(location.search);
const session = mountApp(target, createLinks(document.baseURI, address.allowGpu, address.threads), Store.ofPage(), address);
void session.start();
