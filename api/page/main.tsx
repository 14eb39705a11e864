import { render } from 'preact';
import { App } from './app.js';
import './style.css';
import './theme.js';

render(<App />, document.getElementById('root')!);
