import { backendConformance } from './backends.js';

backendConformance('tensorflow');
