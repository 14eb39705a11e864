import { backendConformance } from './backends.js';

backendConformance('wasm');
